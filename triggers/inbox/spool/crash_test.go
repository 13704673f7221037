package spool_test

func child(string) {}
