//! kill -9 between any two steps, injected by strace at each call that has an
//! effect: what goes to the node, what comes back, what becomes durable. The
//! next run goes on; exactly one transaction is ever paid for.

use super::{harness::WalletFixture, node::Node, peers};

/// By default each second; `MSP_FULL=1` hits all.
const STRIDE: usize = 2;
const CALLS: [&str; 5] = ["sendto", "recvfrom", "fdatasync", "pwrite64", "rename"];
/// No run makes more of one of them.
const MOST: usize = 400;

/// Runs `provenanced anchor` until it is killed at the `nth` such call; false
/// where it ended before.
fn killed_at(fixture: &WalletFixture<'_>, call: &str, nth: usize) -> bool {
    let plain = fixture.command(&["anchor"]);
    let output = std::process::Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={call}:signal=SIGKILL:when={nth}"))
        .arg("-e")
        .arg(format!("trace={call}"))
        .arg(plain.get_program())
        .args(plain.get_args())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!message.contains("panicked"), "{message}");
    !output.status.success()
}

#[test]
fn killed_between_any_two_steps_no_anchor_is_lost_or_paid_for_twice() {
    let Some(node) = Node::start() else { return };
    if peers::find("strace").is_none() {
        return;
    }
    node.mine(60);
    let stride = if std::env::var_os("MSP_FULL").is_some() { 1 } else { STRIDE };
    let (mut kills, mut lives) = (0, 0);
    let first = WalletFixture::new(&node, "first", "0.001", "bump_after_blocks = 1\n");
    for call in CALLS {
        // Killed at the same place of each run of a life, and of the run after
        // it, until a whole first run does not come that far.
        for nth in (1..MOST).step_by(stride) {
            let fixture = first.again(&format!("{call}{nth}"));
            let settles = |what: &str| {
                fixture.anchor(&[]);
                assert_eq!(fixture.paid(), [1], "{call} {nth} {what}: {:?}", fixture.states());
            };
            let killed = killed_at(&fixture, call, nth);
            kills += usize::from(killed) + usize::from(killed_at(&fixture, call, nth));
            settles("sent");
            node.mine_empty(1);
            kills += usize::from(killed_at(&fixture, call, nth));
            settles("replaced");
            node.mine(6);
            kills += usize::from(killed_at(&fixture, call, nth));
            settles("mined");
            assert_eq!(fixture.states().last().unwrap(), "final", "{call} {nth}");
            assert_eq!(fixture.verify_bundle().0, 0, "{call} {nth}");
            fixture.verifies();
            lives += 1;
            if !killed {
                break;
            }
        }
    }
    eprintln!("{kills} kills in {lives} lives");
    assert!(kills > 60, "{kills}");
}
