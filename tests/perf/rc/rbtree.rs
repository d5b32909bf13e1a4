// rbtree.rs: see rbtree.c. Nodes behind Rc, changed in place where they are not shared
// (Rc::make_mut); with --cfg boxed behind Box, which has no versions.
use std::env;
#[cfg(not(boxed))]
use std::rc::Rc;

#[derive(Clone, Copy, PartialEq)]
enum Colour {
    Red,
    Black,
}
use Colour::*;

#[cfg(boxed)]
type Pointer<T> = Box<T>;
#[cfg(not(boxed))]
type Pointer<T> = Rc<T>;
type Tree = Option<Pointer<Node>>;

#[derive(Clone)]
struct Node {
    colour: Colour,
    left: Tree,
    key: i64,
    value: bool,
    right: Tree,
}

#[cfg(boxed)]
fn own(p: &mut Pointer<Node>) -> &mut Node {
    p
}
#[cfg(not(boxed))]
fn own(p: &mut Pointer<Node>) -> &mut Node {
    Rc::make_mut(p)
}

fn is_red(t: &Tree) -> bool {
    matches!(t, Some(n) if n.colour == Red)
}

// A black node whose left child was red: t is rotated to the right if that has a red child.
fn balance_left(mut t: Pointer<Node>) -> Pointer<Node> {
    let node = own(&mut t);
    let mut l = node.left.take().unwrap();
    if is_red(&l.left) {
        let child = own(&mut l);
        own(child.left.as_mut().unwrap()).colour = Black;
        node.left = child.right.take();
        child.right = Some(t);
        return l;
    }
    if is_red(&l.right) {
        let child = own(&mut l);
        let mut y = child.right.take().unwrap();
        let top = own(&mut y);
        child.right = top.left.take();
        child.colour = Black;
        node.left = top.right.take();
        top.left = Some(l);
        top.right = Some(t);
        return y;
    }
    node.left = Some(l);
    t
}

fn balance_right(mut t: Pointer<Node>) -> Pointer<Node> {
    let node = own(&mut t);
    let mut r = node.right.take().unwrap();
    if is_red(&r.left) {
        let child = own(&mut r);
        let mut y = child.left.take().unwrap();
        let top = own(&mut y);
        child.left = top.right.take();
        child.colour = Black;
        node.right = top.left.take();
        top.right = Some(r);
        top.left = Some(t);
        return y;
    }
    if is_red(&r.right) {
        let child = own(&mut r);
        own(child.right.as_mut().unwrap()).colour = Black;
        node.right = child.left.take();
        child.left = Some(t);
        return r;
    }
    node.right = Some(r);
    t
}

fn ins(t: Tree, key: i64, value: bool) -> Pointer<Node> {
    let mut t = match t {
        None => return Pointer::new(Node { colour: Red, left: None, key, value, right: None }),
        Some(t) => t,
    };
    let node = own(&mut t);
    if key < node.key {
        let fix = node.colour == Black && is_red(&node.left);
        node.left = Some(ins(node.left.take(), key, value));
        if fix { balance_left(t) } else { t }
    } else if key > node.key {
        let fix = node.colour == Black && is_red(&node.right);
        node.right = Some(ins(node.right.take(), key, value));
        if fix { balance_right(t) } else { t }
    } else {
        node.value = value;
        t
    }
}

fn insert(t: Tree, key: i64, value: bool) -> Tree {
    let red = is_red(&t);
    let mut t = ins(t, key, value);
    if red {
        own(&mut t).colour = Black;
    }
    Some(t)
}

fn fold(t: &Tree) -> i64 {
    match t {
        None => 0,
        Some(n) => fold(&n.left) + n.value as i64 + fold(&n.right),
    }
}

#[cfg(not(boxed))]
struct Versions {
    _tree: Tree,
    _next: Option<Rc<Versions>>,
}

fn main() {
    let mut args = env::args().skip(1).map(|a| a.parse::<i64>().unwrap());
    let n = args.next().unwrap_or(4200000);
    let mut tree = None;
    #[cfg(not(boxed))]
    let (mut kept, keep) = (None, args.next().unwrap_or(0));
    for i in (1..=n).rev() {
        tree = insert(tree, i, i % 10 == 0);
        #[cfg(not(boxed))]
        if keep > 0 && i % keep == 0 {
            kept = Some(Rc::new(Versions { _tree: tree.clone(), _next: kept }));
        }
    }
    println!("{}", fold(&tree));
}
