package server_test

func idleServer() {}
