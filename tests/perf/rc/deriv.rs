// deriv.rs: see deriv.c. Expressions behind Rc.
use std::env;
use std::rc::Rc;

enum Node {
    Val(i64),
    Var(i64),
    Add(Expr, Expr),
    Mul(Expr, Expr),
    Pow(Expr, Expr),
    Ln(Expr),
}
type Expr = Rc<Node>;
use Node::*;

fn val(n: i64) -> Expr {
    Rc::new(Val(n))
}

fn power(a: i64, n: i64) -> i64 {
    match n {
        0 => 1,
        1 => a,
        _ => {
            let b = power(a, n / 2);
            b.wrapping_mul(b).wrapping_mul(if n % 2 == 0 { 1 } else { a })
        }
    }
}

fn add(a: Expr, b: Expr) -> Expr {
    match (&*a, &*b) {
        (Val(m), Val(n)) => val(m.wrapping_add(*n)),
        (Val(0), _) => b,
        (_, Val(0)) => a,
        (_, Val(_)) => add(b, a),
        (_, Add(n, g)) if matches!(**n, Val(_)) => match (&*a, &**n) {
            (Val(m), Val(n)) => add(val(m.wrapping_add(*n)), g.clone()),
            _ => add(n.clone(), add(a, g.clone())),
        },
        (Add(f, g), _) => add(f.clone(), add(g.clone(), b)),
        _ => Rc::new(Add(a, b)),
    }
}

fn mul(a: Expr, b: Expr) -> Expr {
    match (&*a, &*b) {
        (Val(m), Val(n)) => val(m.wrapping_mul(*n)),
        (Val(0), _) => a,
        (_, Val(0)) => b,
        (Val(1), _) => b,
        (_, Val(1)) => a,
        (_, Val(_)) => mul(b, a),
        (_, Mul(n, g)) if matches!(**n, Val(_)) => match (&*a, &**n) {
            (Val(m), Val(n)) => mul(val(m.wrapping_mul(*n)), g.clone()),
            _ => mul(n.clone(), mul(a, g.clone())),
        },
        (Mul(f, g), _) => mul(f.clone(), mul(g.clone(), b)),
        _ => Rc::new(Mul(a, b)),
    }
}

fn pow(a: Expr, b: Expr) -> Expr {
    match (&*a, &*b) {
        (Val(m), Val(n)) => val(power(*m, *n)),
        (_, Val(0)) => val(1),
        (_, Val(1)) => a,
        (Val(0), _) => a,
        _ => Rc::new(Pow(a, b)),
    }
}

fn ln(a: Expr) -> Expr {
    match *a {
        Val(1) => val(0),
        _ => Rc::new(Ln(a)),
    }
}

fn derive(x: i64, e: &Expr) -> Expr {
    match &**e {
        Val(_) => val(0),
        Var(y) => val((x == *y) as i64),
        Add(f, g) => add(derive(x, f), derive(x, g)),
        Mul(f, g) => add(mul(f.clone(), derive(x, g)), mul(g.clone(), derive(x, f))),
        Pow(f, g) => {
            let inner = mul(mul(g.clone(), derive(x, f)), pow(f.clone(), val(-1)));
            mul(pow(f.clone(), g.clone()), add(inner, mul(ln(f.clone()), derive(x, g))))
        }
        Ln(f) => mul(derive(x, f), pow(f.clone(), val(-1))),
    }
}

fn size(e: &Expr) -> i64 {
    match &**e {
        Val(_) | Var(_) => 1,
        Add(f, g) | Mul(f, g) | Pow(f, g) => size(f) + size(g),
        Ln(f) => size(f),
    }
}

fn main() {
    let n = env::args().nth(1).map_or(10, |a| a.parse::<i64>().unwrap());
    let x = Rc::new(Var(0));
    let (mut e, mut leaves) = (pow(x.clone(), x), 0);
    for _ in 0..n {
        e = derive(0, &e);
        leaves = size(&e);
    }
    println!("{}", leaves);
}
