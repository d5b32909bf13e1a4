// cfold.rs: see cfold.c. Expressions of Box.
use std::env;
use std::mem;

#[allow(dead_code)]
#[derive(Clone, Copy, PartialEq)]
enum Op {
    Add,
    Mul,
}

enum Expr {
    Val(i64),
    Var(#[allow(dead_code)] i64),
    Binary(Op, Box<Expr>, Box<Expr>),
}
use Expr::*;
use Op::*;

fn make(depth: i64, value: i64) -> Box<Expr> {
    if depth == 0 {
        return Box::new(if value == 0 { Var(1) } else { Val(value) });
    }
    let left = make(depth - 1, value + 1);
    Box::new(Binary(Add, left, make(depth - 1, if value == 0 { 0 } else { value - 1 })))
}

fn append(op: Op, mut e1: Box<Expr>, e2: Box<Expr>) -> Box<Expr> {
    match *e1 {
        Binary(op1, a, b) if op1 == op => {
            *e1 = Binary(op, a, append(op, b, e2));
            e1
        }
        _ => Box::new(Binary(op, e1, e2)),
    }
}

fn reassociate(e: Box<Expr>) -> Box<Expr> {
    match *e {
        Binary(op, a, b) => {
            let left = reassociate(a);
            append(op, left, reassociate(b))
        }
        _ => e,
    }
}

fn apply(op: Op, a: i64, b: i64) -> i64 {
    match op {
        Add => a.wrapping_add(b),
        Mul => a.wrapping_mul(b),
    }
}

fn fold(e: &mut Expr) {
    let (op, a, b) = match e {
        Binary(op, a, b) => (*op, a, b),
        _ => return,
    };
    fold(a);
    fold(b);
    let m = match **a {
        Val(m) => m,
        _ => return,
    };
    let (n, rest) = match &mut **b {
        Val(n) => {
            *e = Val(apply(op, m, *n));
            return;
        }
        Binary(inner, c, d) if *inner == op => match (&mut **c, &mut **d) {
            (Val(n), rest) => (*n, rest),
            (rest, Val(n)) => (*n, rest),
            _ => return,
        },
        _ => return,
    };
    let rest = mem::replace(rest, Var(0));
    **a = Val(apply(op, m, n));
    **b = rest;
}

fn eval(e: &Expr) -> i64 {
    match e {
        Val(n) => *n,
        Var(_) => 0,
        Binary(op, a, b) => apply(*op, eval(a), eval(b)),
    }
}

fn main() {
    let depth = env::args().nth(1).map_or(20, |a| a.parse::<i64>().unwrap());
    let e = make(depth, 1);
    let before = eval(&e);
    let mut e = reassociate(e);
    fold(&mut e);
    println!("{} {}", before, eval(&e));
}
