package sqlite_test

func inChild() bool { return false }
