// pause.rs: see pause.c. Structures behind Rc, freed at once, by recursion.
use std::env;
use std::mem;
use std::process;
use std::rc::Rc;
use std::time::Instant;

struct Cell {
    _value: i64,
    next: List,
}
struct Node {
    _left: Tree,
    _right: Tree,
}
type List = Option<Rc<Cell>>;
type Tree = Option<Rc<Node>>;

fn cons(value: i64, next: List) -> List {
    Some(Rc::new(Cell { _value: value, next }))
}

fn list(n: i64) -> List {
    (0..n).fold(None, |next, i| cons(i, next))
}

fn array(n: i64) -> Vec<List> {
    (0..n).map(|i| cons(i, None)).collect()
}

fn shuffled(n: i64) -> List {
    let mut all = array(n);
    let mut random = 1u64;
    let mut first = None;
    while !all.is_empty() {
        random = random.wrapping_mul(0x5DEECE66D).wrapping_add(0xB) & ((1 << 48) - 1);
        let mut cell = all.swap_remove(((random >> 16) % all.len() as u64) as usize);
        Rc::get_mut(cell.as_mut().unwrap()).unwrap().next = first;
        first = cell;
    }
    first
}

fn tree(n: i64) -> Tree {
    if n == 0 {
        return None;
    }
    let left = tree((n - 1) / 2);
    Some(Rc::new(Node { _left: left, _right: tree(n - 1 - (n - 1) / 2) }))
}

fn note(pauses: &mut Vec<u128>, start: Instant) {
    let ns = start.elapsed().as_nanos();
    if ns >= 1000 {
        pauses.push(ns);
    }
}

fn measure<T>(dies: T, n: i64) {
    let mut pauses = Vec::with_capacity(n as usize + 1);
    let start = Instant::now();
    mem::drop(dies);
    note(&mut pauses, start);
    let mut next = None;
    for _ in 0..n {
        let start = Instant::now();
        next = cons(0, next);
        note(&mut pauses, start);
    }
    println!("{}", n + 1);
    for ns in pauses {
        println!("{}", ns);
    }
    process::exit(0); // the list that lives is not freed here
}

fn main() {
    let n = env::args().nth(2).map_or(10000000, |a| a.parse::<i64>().unwrap());
    match env::args().nth(1).as_deref() {
        Some("list") => measure(list(n), n),
        Some("shuffled") => measure(shuffled(n), n),
        Some("tree") => measure(tree(n), n),
        Some("array") => measure(array(n), n),
        _ => process::exit(2),
    }
}
