module github.com/greenroom/greenroom

go 1.26
