// Package archtest holds the shape of the module: which package may import
// which (layers_test.go), where each dependency has its home (homes_test.go),
// and what holds for every source file (source_test.go). It contains tests
// alone; where the shape changes, its tables change first.
package archtest
