package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tree is the checkout to check.
type tree struct {
	// dir is the top directory.
	dir string
	// files are the paths, relative to dir and with slashes, of every file that git
	// tracks or would add. Ignored files and files deleted on disk are not listed.
	files []string
	// unchecked is what the step that runs could not check; see notChecked.
	unchecked []string
}

// notChecked notes what a step could not check, so that its result is not taken for more
// than it is. The note is printed, and is no finding.
func (t *tree) notChecked(what string) { t.unchecked = append(t.unchecked, what) }

// openTree lists the files of the checkout at dir.
func openTree(ctx context.Context, dir string) (*tree, error) {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return nil, fmt.Errorf("run this from the top of the checkout, where go.mod is: %w", err)
	}
	out, err := output(ctx, dir, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, fmt.Errorf("list the checkout's files: %w", err)
	}
	t := &tree{dir: dir}
	for f := range strings.SplitSeq(out, "\x00") {
		if f == "" {
			continue
		}
		switch info, err := os.Lstat(filepath.Join(dir, f)); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode().IsRegular():
			t.files = append(t.files, f)
		}
	}
	return t, nil
}

// path returns the path of a file of the tree on disk.
func (t *tree) path(file string) string { return filepath.Join(t.dir, filepath.FromSlash(file)) }

// firstLine returns a file's first line without the newline.
func (t *tree) firstLine(file string) (string, error) {
	f, err := os.Open(t.path(file))
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	if !s.Scan() {
		// The file is empty, or its first line is too long for a script's.
		return "", nil
	}
	return s.Text(), nil
}
