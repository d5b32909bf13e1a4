// cfold.go: see cfold.c.
package main

import (
	"fmt"
	"os"
	"strconv"
)

type expr interface{}
type op uint8

const (
	add op = iota
	mul
)

type val struct{ value int }
type variable struct{ name int }
type binary struct {
	op          op
	left, right expr
}

func build(depth, value int) expr {
	if depth == 0 {
		if value == 0 {
			return &variable{1}
		}
		return &val{value}
	}
	left, lower := build(depth-1, value+1), value-1
	if value == 0 {
		lower = 0
	}
	return &binary{add, left, build(depth-1, lower)}
}

func chain(o op, e1, e2 expr) expr {
	if b, ok := e1.(*binary); ok && b.op == o {
		return &binary{o, b.left, chain(o, b.right, e2)}
	}
	return &binary{o, e1, e2}
}

func reassociate(e expr) expr {
	b, ok := e.(*binary)
	if !ok {
		return e
	}
	left := reassociate(b.left)
	return chain(b.op, left, reassociate(b.right))
}

func apply(o op, a, b int) int {
	if o == add {
		return a + b
	}
	return a * b
}

func foldPair(o op, a, b expr) expr {
	m, ok := a.(*val)
	if !ok {
		return &binary{o, a, b}
	}
	if n, ok := b.(*val); ok {
		return &val{apply(o, m.value, n.value)}
	}
	if inner, ok := b.(*binary); ok && inner.op == o {
		if n, ok := inner.left.(*val); ok {
			return &binary{o, &val{apply(o, m.value, n.value)}, inner.right}
		}
		if n, ok := inner.right.(*val); ok {
			return &binary{o, &val{apply(o, m.value, n.value)}, inner.left}
		}
	}
	return &binary{o, a, b}
}

func fold(e expr) expr {
	b, ok := e.(*binary)
	if !ok {
		return e
	}
	left := fold(b.left)
	return foldPair(b.op, left, fold(b.right))
}

func eval(e expr) int {
	switch e := e.(type) {
	case *val:
		return e.value
	case *binary:
		return apply(e.op, eval(e.left), eval(e.right))
	}
	return 0
}

func main() {
	depth := 20
	if len(os.Args) > 1 {
		depth, _ = strconv.Atoi(os.Args[1])
	}
	e := build(depth, 1)
	before := eval(e)
	fmt.Println(before, eval(fold(reassociate(e))))
}
