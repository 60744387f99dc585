//! Random nested choices against a reference that knows which channels are ready.
//!
//! All of it in one thread, hand-polled. The arms are a list of lists of lists; some are receives, some sends, some lent by `&mut`.
//! Checked: a choice is done if and only if one of its arms is ready, by an arm that is; `biased` by the first in reading order;
//! the value is the one of that channel; no other arm has happened, and none waits any more.

use std::task::Poll;

use crate::support::*;
use handover::{Receiver, Sel2, Sender, op, rendezvous, select};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

const CHANNELS: usize = 5;

/// The arms: each a channel, and whether it receives.
type Tree = Vec<Vec<Vec<(usize, bool)>>>;

#[derive(Clone, Debug)]
struct Case {
    tree: Tree,
    is_biased: bool,
    /// The arms of this branch are lent.
    lent: Vec<(usize, bool)>,
    /// Peers that wait before the choice begins: a channel, and whether the peer sends.
    before: Vec<(usize, bool)>,
    /// The first peer to come while the choice waits.
    meanwhile: (usize, bool),
    /// The choice is given up on in place of that.
    gives_up: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let arm = (0..CHANNELS, any::<bool>());
    let arms = prop::collection::vec(arm.clone(), 0..4);
    let tree = prop::collection::vec(prop::collection::vec(arms.clone(), 0..3), 0..4);
    let before = prop::collection::vec(arm.clone(), 0..3);
    (tree, any::<bool>(), arms, before, arm, any::<bool>()).prop_map(
        |(tree, is_biased, lent, before, meanwhile, gives_up)| Case {
            tree,
            is_biased,
            lent,
            before,
            meanwhile,
            gives_up,
        },
    )
}

type Channel = (Sender<usize>, Receiver<usize>);

/// A receive or a send. Of a pair of arms the other one never happens.
type Leaf<'a> = (Vec<op::Take<'a, usize>>, [Vec<op::Send<'a, usize>>; 1]);

/// The value that the choice sends on a channel.
const fn mine(channel: usize) -> usize {
    100 + channel
}

fn leaf(ch: &[Channel], (channel, receives): (usize, bool)) -> Leaf<'_> {
    let (tx, rx) = &ch[channel];
    if receives { (vec![rx.recv()], [vec![]]) } else { (vec![], [vec![tx.send(mine(channel))]]) }
}

/// A peer on a channel: it sends the channel's number, or receives.
struct Peer<'a> {
    spec: (usize, bool),
    op: Sel2<op::Send<'a, usize>, op::Take<'a, usize>>,
    is_done: bool,
}

impl<'a> Peer<'a> {
    fn new(ch: &'a [Channel], spec: (usize, bool)) -> Self {
        let (tx, rx) = &ch[spec.0];
        let op = if spec.1 { Sel2::A(tx.send(spec.0)) } else { Sel2::B(rx.recv()) };
        let mut peer = Self { spec, op, is_done: false };
        peer.poll();
        peer
    }

    fn poll(&mut self) {
        if self.is_done {
            return;
        }
        self.is_done = match &mut self.op {
            Sel2::A(send) => poll_once(send).map(Result::unwrap).is_ready(),
            Sel2::B(recv) => {
                poll_once(recv).map(|got| assert_eq!(got, Ok(mine(self.spec.0)))).is_ready()
            }
        };
    }
}

fn run(case: Case) {
    progress();
    let ch: Vec<Channel> = (0..CHANNELS).map(|_| rendezvous()).collect();
    // At most one peer on a channel: two would meet each other.
    let mut peers: Vec<Peer<'_>> = Vec::new();
    for spec in case.before {
        if peers.iter().all(|peer| peer.spec.0 != spec.0) {
            peers.push(Peer::new(&ch, spec));
        }
    }
    // An arm receives where its peer sends, so both are the same pair.
    let has_peer = |peers: &[Peer<'_>], arm| peers.iter().any(|peer| peer.spec == arm);
    let reading: Vec<_> = case.tree.iter().flatten().flatten().chain(&case.lent).copied().collect();
    let first = reading.iter().copied().find(|&arm| has_peer(&peers, arm));

    let leaves = |arms: &Vec<(usize, bool)>| -> Vec<Leaf<'_>> {
        arms.iter().map(|&arm| leaf(&ch, arm)).collect()
    };
    let mut lent = leaves(&case.lent);
    let tree: Vec<Vec<_>> =
        case.tree.iter().map(|branch| branch.iter().map(leaves).collect()).collect();
    let borrowed: Vec<_> = lent
        .iter_mut()
        .map(|(takes, [sends])| {
            (takes.iter_mut().collect::<Vec<_>>(), [sends.iter_mut().collect::<Vec<_>>()])
        })
        .collect();
    let mut choice = select((tree, borrowed));
    if case.is_biased {
        choice = choice.biased();
    }

    let mut polled = poll_once(&mut choice);
    // A receive finds an offer that waits at once. A send is done when its receiver, a task, has been polled.
    let is_receive = first.is_some_and(|(_, receives)| receives);
    if is_receive && case.is_biased {
        assert!(polled.is_ready());
    }
    if first.is_none() {
        assert!(polled.is_pending());
        if !case.gives_up && peers.iter().all(|peer| peer.spec.0 != case.meanwhile.0) {
            peers.push(Peer::new(&ch, case.meanwhile));
        }
    }
    peers.iter_mut().for_each(Peer::poll);
    if polled.is_pending() {
        polled = poll_once(&mut choice);
    }
    peers.iter_mut().for_each(Peer::poll);

    let happened = match polled {
        Poll::Pending => None,
        Poll::Ready(Sel2::A((a, (b, (c, out))))) => Some((case.tree[a][b][c], out)),
        Poll::Ready(Sel2::B((a, out))) => Some((case.lent[a], out)),
    };
    let happened = happened.map(|(arm, out)| {
        match out {
            Sel2::A((0, got)) => assert_eq!((arm.1, got), (true, Ok(arm.0))),
            Sel2::B((0, (0, sent))) => assert_eq!((arm.1, sent), (false, Ok(()))),
            _ => panic!("an arm that is not there"),
        }
        arm
    });
    match happened {
        Some(arm) => assert!(has_peer(&peers, arm), "{arm:?} had no partner"),
        None => assert!(!reading.iter().any(|&arm| has_peer(&peers, arm)), "nothing happened"),
    }
    if is_receive && case.is_biased {
        assert_eq!(happened, first);
    }
    for peer in &peers {
        assert_eq!(peer.is_done, happened == Some(peer.spec), "{:?}", peer.spec);
    }
    drop((choice, peers));
    for (tx, _) in &ch {
        let stats = tx.stats();
        assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0), "an arm still waits");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2 * ProptestConfig::default().cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_nested_choice_does_what_the_reference_says(case in case()) {
        let _dog = Watchdog::new();
        run(case);
    }
}
