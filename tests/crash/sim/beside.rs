//! Processes that go on beside another one, each on a thread of its own.

use reftable_crash::Beside;

use super::mutants;
use super::run::Actor;
use super::world::World;

/// Starts what the process does; it stops before its first call, and makes the mistake of the run.
pub(super) fn start(world: &World, actor: Actor, work: impl FnOnce(&Actor) + Send + 'static) -> Beside {
    let mistake = mutants::active();
    Beside::start(world, actor.pid, move || {
        mutants::adopt(mistake);
        work(&actor);
        drop(actor);
    })
}
