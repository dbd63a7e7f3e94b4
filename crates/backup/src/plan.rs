//! Who does which part of a backup or restore: pieces of work over nodes that come and go.
//!
//! Each piece can be done by any of some nodes, the first of them best. A node does a few at once. What a node does
//! not finish, because it is gone or cannot, another one does from its beginning: pieces may be done twice. A piece
//! that every node has refused, again and again, ends all.
//!
//! This is a function of what was asked and what has been heard. Whoever runs it asks nodes to start pieces, asks
//! them how far they are, and tells the answers.

use std::collections::BTreeMap;

use types::{ErrorCode, Fault};

/// How often a piece is begun before all is given up.
const ATTEMPTS_MAX: u32 = 8;

/// Pieces of work, and how far each is.
#[derive(Clone, Debug)]
pub struct Plan {
    pieces: Vec<Piece>,
    /// Pieces that one node does at once.
    at_once: usize,
    fault: Option<Fault>,
}

#[derive(Clone, Debug)]
struct Piece {
    /// Nodes that can do it, the best first.
    nodes: Vec<u64>,
    state: State,
    attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running(u64),
    Done,
}

/// What was heard of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is done.
    Done,
    /// Its node is gone, or has begun anew and knows nothing of it.
    Lost,
    /// Its node cannot do it.
    Failed(Fault),
}

impl Plan {
    /// Pieces, each with the nodes that can do it, the best first.
    pub fn new(pieces: Vec<Vec<u64>>, at_once: usize) -> Self {
        let piece = |nodes| Piece { nodes, state: State::Waiting, attempts: 0 };
        Self { pieces: pieces.into_iter().map(piece).collect(), at_once: at_once.max(1), fault: None }
    }

    /// A piece is done already.
    pub fn skip(&mut self, piece: usize) {
        self.pieces[piece].state = State::Done;
    }

    /// A node is at a piece already, because somebody else asked it to be.
    pub fn take_over(&mut self, piece: usize, node: u64) {
        let found = &mut self.pieces[piece];
        if found.state == State::Waiting {
            found.state = State::Running(node);
            found.attempts += 1;
        }
    }

    /// Pieces to be started now, each at a node.
    pub fn due(&mut self) -> Vec<(usize, u64)> {
        if self.fault.is_some() {
            return Vec::new();
        }
        let mut busy: BTreeMap<u64, usize> = BTreeMap::new();
        for piece in &self.pieces {
            if let State::Running(node) = piece.state {
                *busy.entry(node).or_default() += 1;
            }
        }
        let mut started = Vec::new();
        for (number, piece) in self.pieces.iter_mut().enumerate() {
            if piece.state != State::Waiting {
                continue;
            }
            // After a failure the next one is tried first.
            let turn = piece.attempts as usize % piece.nodes.len().max(1);
            let (before, from) = piece.nodes.split_at(turn);
            let in_turn = from.iter().chain(before);
            let free = |node: &&u64| busy.get(*node).copied().unwrap_or(0) < self.at_once;
            let Some(&node) = in_turn.filter(free).min_by_key(|node| busy.get(*node).copied().unwrap_or(0))
            else {
                continue;
            };
            *busy.entry(node).or_default() += 1;
            piece.state = State::Running(node);
            piece.attempts += 1;
            started.push((number, node));
        }
        started
    }

    /// Pieces that nodes are at.
    pub fn running(&self) -> Vec<(usize, u64)> {
        let of = |(number, piece): (usize, &Piece)| match piece.state {
            State::Running(node) => Some((number, node)),
            State::Waiting | State::Done => None,
        };
        self.pieces.iter().enumerate().filter_map(of).collect()
    }

    /// Something was heard of a piece from a node; nothing if another one has it by now.
    pub fn heard(&mut self, piece: usize, node: u64, heard: Heard) {
        let found = &mut self.pieces[piece];
        if found.state != State::Running(node) {
            return;
        }
        match heard {
            Heard::Done => found.state = State::Done,
            Heard::Lost => {
                found.state = State::Waiting;
                if found.attempts >= ATTEMPTS_MAX {
                    self.fault =
                        Some(Fault::new(ErrorCode::Unreachable, format!("node {node}, again and again")));
                }
            }
            Heard::Failed(fault) => {
                found.state = State::Waiting;
                if is_final(fault.code) || found.attempts >= ATTEMPTS_MAX {
                    self.fault = Some(fault);
                }
            }
        }
    }

    /// Whether a piece was begun more than once: what an earlier attempt has left may be there.
    pub fn is_repeated(&self, piece: usize) -> bool {
        self.pieces[piece].attempts > 1
    }

    /// How many pieces are done, of how many.
    pub fn done(&self) -> (usize, usize) {
        let done = self.pieces.iter().filter(|piece| piece.state == State::Done).count();
        (done, self.pieces.len())
    }

    /// Whether everything is done.
    pub fn is_done(&self) -> bool {
        self.pieces.iter().all(|piece| piece.state == State::Done)
    }

    /// Why it cannot be done.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }
}

/// Whether no node and no later moment will change it.
fn is_final(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::BackupDamaged
            | ErrorCode::BackupParent
            | ErrorCode::BackupTargetFull
            | ErrorCode::UnknownBackup
            | ErrorCode::UnknownTable
            | ErrorCode::KeyExists
            | ErrorCode::BadArgument
            | ErrorCode::Cancelled
            | ErrorCode::VersionUnsupported
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_spread_over_the_nodes_that_can_do_it() {
        let mut plan = Plan::new(vec![vec![1, 2], vec![1, 2], vec![1, 2], vec![3]], 1);
        assert_eq!(plan.due(), [(0, 1), (1, 2), (3, 3)]);
        assert!(plan.due().is_empty());
        plan.heard(1, 2, Heard::Done);
        assert_eq!(plan.due(), [(2, 2)]);
        for (piece, node) in plan.running() {
            plan.heard(piece, node, Heard::Done);
        }
        assert!(plan.is_done() && plan.done() == (4, 4));
    }

    #[test]
    fn another_node_does_what_is_lost() {
        let mut plan = Plan::new(vec![vec![1, 2]], 2);
        assert_eq!(plan.due(), [(0, 1)]);
        assert!(!plan.is_repeated(0));
        plan.heard(0, 1, Heard::Lost);
        assert_eq!(plan.due(), [(0, 2)]);
        assert!(plan.is_repeated(0));
        // The first one comes back, and is too late.
        plan.heard(0, 1, Heard::Done);
        assert!(!plan.is_done());
        plan.heard(0, 2, Heard::Failed(ErrorCode::Overloaded.into()));
        assert_eq!(plan.due(), [(0, 1)]);
    }

    #[test]
    fn what_somebody_else_began_is_not_begun_again() {
        let mut plan = Plan::new(vec![vec![1, 2], vec![1, 2]], 1);
        plan.take_over(0, 2);
        assert_eq!(plan.due(), [(1, 1)]);
        assert_eq!(plan.running(), [(0, 2), (1, 1)]);
        plan.heard(0, 2, Heard::Lost);
        assert_eq!(plan.due(), [(0, 2)], "node 1 has enough to do");
        assert!(plan.is_repeated(0));
    }

    #[test]
    fn what_nothing_will_change_ends_all() {
        let mut plan = Plan::new(vec![vec![1], vec![2]], 1);
        plan.due();
        plan.heard(0, 1, Heard::Failed(ErrorCode::BackupDamaged.into()));
        assert_eq!(plan.fault().map(|fault| fault.code), Some(ErrorCode::BackupDamaged));
        plan.heard(1, 2, Heard::Lost);
        assert!(plan.due().is_empty());
    }

    #[test]
    fn nothing_is_tried_for_ever() {
        let mut plan = Plan::new(vec![vec![1, 2]], 1);
        let mut tries = 0;
        while plan.fault().is_none() {
            let (piece, node) = plan.due()[0];
            plan.heard(piece, node, Heard::Lost);
            tries += 1;
        }
        assert_eq!(tries, ATTEMPTS_MAX);
    }
}
