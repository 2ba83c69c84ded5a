//! Rehearsals on servers in namespaces, each with rules that defeat a rule which merely looks right: what the rehearsal
//! says is compared with what really happens.

mod as_it_is;
mod blame;
mod boot;
mod reached;
mod sandbox;
mod sealed;
mod truth;
