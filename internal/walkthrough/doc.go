// Package walkthrough reads the commands that a Markdown document shows, and does what
// its reader would: for tests that keep documents true.
//
//   - A block fenced as sh is run, in one shell for the whole document.
//   - A block of another kind, whose first line is a comment with a path, is that file.
//   - A block fenced as json is the answer of the commands before it: what was printed
//     has its fields, of its types, and the same words where they tell how things stand.
//   - A command in a sentence or a table is run in its turn, unless it only names one of
//     the document's blocks.
//   - <!-- not run: REASON -->, before a block or within the sentence or the table's
//     cell, leaves a command out. A reason must be given.
//
// Anything that looks like a command and is none of these is an error.
package walkthrough
