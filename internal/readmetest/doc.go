// Package readmetest runs what the README shows and fails where the README and
// reality differ. It contains a test alone.
//
// A block ```console is a terminal: lines after "$ " are typed into one shell,
// the others are what it prints. A command that ends in "rdev serve" keeps
// running until the end. A block ```go is a program, and the block ```text
// after it its output. In what is printed, … stands for any text, and spaces
// for any number of spaces; the port 8080 stands for a free one, and ~/rdev for
// the clone.
package readmetest
