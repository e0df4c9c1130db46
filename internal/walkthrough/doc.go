// Package walkthrough runs the commands that a Markdown document shows, in the order
// in which its reader would. Tests use it to keep documents true.
//
//   - A block fenced as sh is run. One shell runs the whole document.
//   - A block in another language, whose first line is a comment with a path, is written
//     to that file.
//   - A block fenced as json is the expected output of the commands before it. The output
//     must have its fields with the same types, and the same values in the fields that
//     describe a state or an outcome.
//   - A command in a sentence or a table is run in its turn, unless it only names a
//     command of one of the document's blocks.
//   - A command that the caller lists as NotRun is left out. The caller gives a reason. A
//     listed command that the document does not show is an error.
//
// Anything that looks like a command and is none of these is an error.
package walkthrough
