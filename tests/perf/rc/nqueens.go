// nqueens.go: see nqueens.c.
package main

import (
	"fmt"
	"os"
	"strconv"
)

type placement struct {
	head int
	tail *placement
}

type list struct {
	head *placement
	tail *list
}

func safe(queen int, placed *placement) bool {
	diagonal := 1
	for p := placed; p != nil; p = p.tail {
		if queen == p.head || queen == p.head+diagonal || queen == p.head-diagonal {
			return false
		}
		diagonal++
	}
	return true
}

func solutions(n, queen int) *list {
	if queen == 0 {
		return &list{nil, nil}
	}
	var found *list
	for all := solutions(n, queen-1); all != nil; all = all.tail {
		for q := n; q > 0; q-- {
			if safe(q, all.head) {
				found = &list{&placement{q, all.head}, found}
			}
		}
	}
	return found
}

func main() {
	n := 13
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	count := 0
	for p := solutions(n, n); p != nil; p = p.tail {
		count++
	}
	fmt.Println(count)
}
