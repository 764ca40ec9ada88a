// Checks what Carnet writes with the Go team's own code for signed notes and logs, and nothing of
// Carnet's: golang.org/x/mod/sumdb, from Debian's golang-golang-x-mod-dev.
//
//	verify note  VKEY CHECKPOINT         opens a checkpoint with the key; prints origin, size, root
//	verify proof VKEY TLOG-PROOF EVENT   opens the checkpoint in a receipt, and checks that the event
//	                                     is in its tree
//
// Exit status 0 only if everything holds.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) < 4 {
		fail("usage: verify note|proof VKEY FILE [EVENT]")
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(read(os.Args[2])))
	check("the key", err)
	text := read(os.Args[3])
	switch os.Args[1] {
	case "note":
		origin, size, root := open(verifier, text)
		fmt.Println(origin, size, root)
	case "proof":
		prove(verifier, text, []byte(read(os.Args[4])))
	default:
		fail("usage: verify note|proof VKEY FILE [EVENT]")
	}
}

// open verifies the signatures of a checkpoint and reads it.
func open(verifier note.Verifier, text string) (string, int64, tlog.Hash) {
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	check("the note", err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 {
		fail("the note is no checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check("the size", err)
	root, err := tlog.ParseHash(lines[2])
	check("the root", err)
	return lines[0], size, root
}

// prove reads a receipt (c2sp.org/tlog-proof@v1) and checks it.
func prove(verifier note.Verifier, text string, event []byte) {
	proof, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(proof, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("not a tlog-proof")
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	check("the index", err)
	var hashes tlog.RecordProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		check("a hash", err)
		hashes = append(hashes, hash)
	}
	_, size, root := open(verifier, checkpoint)
	check("the proof", tlog.CheckRecord(hashes, size, root, index, tlog.RecordHash(event)))
	fmt.Println("event", index, "is in the tree of", size)
}

func read(path string) string {
	text, err := os.ReadFile(path)
	check(path, err)
	return string(text)
}

func check(what string, err error) {
	if err != nil {
		fail(what + ": " + err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
