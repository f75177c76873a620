// Package archtest holds the rules of the code's structure as a test: which
// package may import which, where each library is at home, what every package
// documents, and what none does (globals, init, exits, prints, sleeps).
//
// The rules are the tables in rules_test.go. Each check is a function from
// parsed source to findings, and is first shown to fail on source that is wrong.
// All Go files are read, whatever their build constraints; nothing is compiled,
// so a rule sees names, not types.
package archtest
