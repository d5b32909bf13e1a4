// nqueens.rs: see nqueens.c. Lists behind Rc.
use std::env;
use std::rc::Rc;

struct Cell<T> {
    head: T,
    tail: List<T>,
}
type List<T> = Option<Rc<Cell<T>>>;

fn cons<T>(head: T, tail: List<T>) -> List<T> {
    Some(Rc::new(Cell { head, tail }))
}

fn safe(queen: i64, mut placed: &List<i64>) -> bool {
    let mut diagonal = 1;
    while let Some(p) = placed {
        if queen == p.head || queen == p.head + diagonal || queen == p.head - diagonal {
            return false;
        }
        placed = &p.tail;
        diagonal += 1;
    }
    true
}

fn solutions(n: i64, queen: i64) -> List<List<i64>> {
    if queen == 0 {
        return cons(None, None);
    }
    let mut all = solutions(n, queen - 1);
    let mut found = None;
    while let Some(cell) = all {
        for q in (1..=n).rev() {
            if safe(q, &cell.head) {
                found = cons(cons(q, cell.head.clone()), found);
            }
        }
        all = cell.tail.clone();
    }
    found
}

fn main() {
    let n = env::args().nth(1).map_or(13, |a| a.parse::<i64>().unwrap());
    let all = solutions(n, n);
    let (mut count, mut rest) = (0, &all);
    while let Some(cell) = rest {
        count += 1;
        rest = &cell.tail;
    }
    println!("{}", count);
}
