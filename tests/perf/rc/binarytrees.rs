// binarytrees.rs: see binarytrees.c. Trees of Box.
use std::env;

struct Node {
    children: Option<(Box<Node>, Box<Node>)>,
}

fn make(depth: u32) -> Box<Node> {
    if depth == 0 {
        return Box::new(Node { children: None });
    }
    let left = make(depth - 1);
    Box::new(Node { children: Some((left, make(depth - 1))) })
}

fn count(t: &Node) -> i64 {
    match &t.children {
        None => 1,
        Some((left, right)) => 1 + count(left) + count(right),
    }
}

fn main() {
    let n = env::args().nth(1).map_or(21, |a| a.parse::<u32>().unwrap());
    let min_depth = 4;
    let mut sum = count(&make(n + 1));
    let lasting = make(n);
    for depth in (min_depth..=n).step_by(2) {
        for _ in 0..1i64 << (n - depth + min_depth) {
            sum += count(&make(depth));
        }
    }
    println!("{}", sum + count(&lasting));
}
