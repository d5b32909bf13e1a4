// rbtree.go: see rbtree.c. Immutable nodes.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

type colour uint8

const (
	red colour = iota
	black
)

type node struct {
	colour colour
	value  bool
	key    int
	left   *node
	right  *node
}

type versions struct {
	tree *node
	next *versions
}

func isRed(t *node) bool { return t != nil && t.colour == red }

func newNode(c colour, left *node, key int, value bool, right *node) *node {
	return &node{c, value, key, left, right}
}

func balanceLeft(l *node, key int, value bool, r *node) *node {
	if x := l.left; isRed(x) {
		return newNode(red, newNode(black, x.left, x.key, x.value, x.right), l.key, l.value,
			newNode(black, l.right, key, value, r))
	}
	if y := l.right; isRed(y) {
		return newNode(red, newNode(black, l.left, l.key, l.value, y.left), y.key, y.value,
			newNode(black, y.right, key, value, r))
	}
	return newNode(black, l, key, value, r)
}

func balanceRight(l *node, key int, value bool, r *node) *node {
	if y := r.left; isRed(y) {
		return newNode(red, newNode(black, l, key, value, y.left), y.key, y.value,
			newNode(black, y.right, r.key, r.value, r.right))
	}
	if z := r.right; isRed(z) {
		return newNode(red, newNode(black, l, key, value, r.left), r.key, r.value,
			newNode(black, z.left, z.key, z.value, z.right))
	}
	return newNode(black, l, key, value, r)
}

func ins(t *node, key int, value bool) *node {
	if t == nil {
		return newNode(red, nil, key, value, nil)
	}
	if key < t.key {
		l := ins(t.left, key, value)
		if t.colour == black && isRed(t.left) {
			return balanceLeft(l, t.key, t.value, t.right)
		}
		return newNode(t.colour, l, t.key, t.value, t.right)
	}
	if key > t.key {
		r := ins(t.right, key, value)
		if t.colour == black && isRed(t.right) {
			return balanceRight(t.left, t.key, t.value, r)
		}
		return newNode(t.colour, t.left, t.key, t.value, r)
	}
	return newNode(t.colour, t.left, key, value, t.right)
}

func insert(t *node, key int, value bool) *node {
	u := ins(t, key, value)
	if isRed(t) {
		return newNode(black, u.left, u.key, u.value, u.right)
	}
	return u
}

func fold(t *node) int {
	if t == nil {
		return 0
	}
	n := fold(t.left) + fold(t.right)
	if t.value {
		n++
	}
	return n
}

func argument(i, otherwise int) int {
	if len(os.Args) <= i {
		return otherwise
	}
	n, err := strconv.Atoi(os.Args[i])
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	n, keep := argument(1, 4200000), argument(2, 0)
	var tree *node
	var kept *versions
	for i := n; i > 0; i-- {
		tree = insert(tree, i, i%10 == 0)
		if keep > 0 && i%keep == 0 {
			kept = &versions{tree, kept}
		}
	}
	fmt.Println(fold(tree))
	runtime.KeepAlive(kept)
}
