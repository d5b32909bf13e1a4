// deriv.go: see deriv.c.
package main

import (
	"fmt"
	"os"
	"strconv"
)

type expr interface{}
type val struct{ value int }
type variable struct{ name int }
type sum struct{ left, right expr }
type product struct{ left, right expr }
type power struct{ left, right expr }
type logarithm struct{ of expr }

func isVal(e expr, n int) bool {
	v, ok := e.(*val)
	return ok && v.value == n
}

func toThe(a, n int) int {
	if n == 0 {
		return 1
	}
	if n == 1 {
		return a
	}
	b := toThe(a, n/2)
	if n%2 == 0 {
		return b * b
	}
	return b * b * a
}

func add(a, b expr) expr {
	m, aIsVal := a.(*val)
	n, bIsVal := b.(*val)
	switch {
	case aIsVal && bIsVal:
		return &val{m.value + n.value}
	case isVal(a, 0):
		return b
	case isVal(b, 0):
		return a
	case bIsVal:
		return add(b, a)
	}
	if inner, ok := b.(*sum); ok {
		if k, ok := inner.left.(*val); ok {
			if aIsVal {
				return add(&val{m.value + k.value}, inner.right)
			}
			return add(k, add(a, inner.right))
		}
	}
	if first, ok := a.(*sum); ok {
		return add(first.left, add(first.right, b))
	}
	return &sum{a, b}
}

func mul(a, b expr) expr {
	m, aIsVal := a.(*val)
	n, bIsVal := b.(*val)
	switch {
	case aIsVal && bIsVal:
		return &val{m.value * n.value}
	case isVal(a, 0), isVal(b, 1):
		return a
	case isVal(b, 0), isVal(a, 1):
		return b
	case bIsVal:
		return mul(b, a)
	}
	if inner, ok := b.(*product); ok {
		if k, ok := inner.left.(*val); ok {
			if aIsVal {
				return mul(&val{m.value * k.value}, inner.right)
			}
			return mul(k, mul(a, inner.right))
		}
	}
	if first, ok := a.(*product); ok {
		return mul(first.left, mul(first.right, b))
	}
	return &product{a, b}
}

func pow(a, b expr) expr {
	m, aIsVal := a.(*val)
	n, bIsVal := b.(*val)
	switch {
	case aIsVal && bIsVal:
		return &val{toThe(m.value, n.value)}
	case isVal(b, 0):
		return &val{1}
	case isVal(b, 1), isVal(a, 0):
		return a
	}
	return &power{a, b}
}

func ln(a expr) expr {
	if isVal(a, 1) {
		return &val{0}
	}
	return &logarithm{a}
}

func derive(x int, e expr) expr {
	switch e := e.(type) {
	case *variable:
		if e.name == x {
			return &val{1}
		}
	case *sum:
		return add(derive(x, e.left), derive(x, e.right))
	case *product:
		return add(mul(e.left, derive(x, e.right)), mul(e.right, derive(x, e.left)))
	case *power:
		f, g := e.left, e.right
		inner := mul(mul(g, derive(x, f)), pow(f, &val{-1}))
		return mul(pow(f, g), add(inner, mul(ln(f), derive(x, g))))
	case *logarithm:
		return mul(derive(x, e.of), pow(e.of, &val{-1}))
	}
	return &val{0}
}

func size(e expr) int {
	switch e := e.(type) {
	case *sum:
		return size(e.left) + size(e.right)
	case *product:
		return size(e.left) + size(e.right)
	case *power:
		return size(e.left) + size(e.right)
	case *logarithm:
		return size(e.of)
	}
	return 1
}

func main() {
	n := 10
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	var e expr = pow(&variable{0}, &variable{0})
	leaves := 0
	for i := 0; i < n; i++ {
		e = derive(0, e)
		leaves = size(e)
	}
	fmt.Println(leaves)
}
