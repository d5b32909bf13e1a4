// binarytrees.go: see binarytrees.c.
package main

import (
	"fmt"
	"os"
	"strconv"
)

const minDepth = 4

type tree struct{ left, right *tree }

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grow(depth - 1), grow(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func main() {
	n := 21
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	sum := grow(n + 1).count()
	lasting := grow(n)
	for depth := minDepth; depth <= n; depth += 2 {
		for i := 1 << (n - depth + minDepth); i > 0; i-- {
			sum += grow(depth).count()
		}
	}
	fmt.Println(sum + lasting.count())
}
