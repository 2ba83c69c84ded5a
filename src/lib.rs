//! faspwall opens the ports that an Aspera transfer host needs, closes TCP/22, and never locks anyone out.
//!
//! # Map
//!
//! Pure core, bottom up: [`harmless`], [`port`], [`step`], [`transaction`], [`facts`], [`catalogue`], [`answers`], [`plan`],
//! [`matrix`], [`product`], [`notice`], [`backend`], [`sshd`], [`advice`], [`change`]. Above them [`system`], the one door to the host, then [`engine`]
//! (detect, apply, confirm, guard, roll back), and two that live in sealed namespaces ([`sealed`]): [`lab`] and
//! [`rehearse`]. [`tui`] knows the pure core only; [`cli`] joins the two.
//!
//! # Promises, each with the tests that fail when it is broken
//!
//! 1. Nothing changes before the operator applies: `native_rules_are_taken_on_and_looking_changes_nothing`.
//! 2. A trial only adds: `ssh_moves_to_33001_and_22_closes_with_everything_kept_over_a_reboot_and_back`.
//! 3. The kernel itself opens 22 again:
//!    `with_every_process_of_ours_dead_and_the_link_cut_the_kernel_alone_opens_22_again`.
//! 4. Only a new login through the new port makes it permanent:
//!    `a_confirmation_that_proves_nothing_is_refused_with_the_reason_and_changes_nothing`.
//! 5. Undo takes our own objects and nothing else: `an_unconfirmed_trial_2_leaves_nothing_behind`.
//! 6. A reboot leaves the old state or the new one: `a_power_loss_in_the_middle_of_a_commit_leaves_the_host_as_before`.
//! 7. What is previewed is what is run: `what_is_previewed_is_what_is_run`.
//! 8. It opens what it says and nothing else: `of_all_65535_ports_only_the_wanted_ones_change`.
//! 9. What is not understood is left alone: `what_an_admin_writes_during_the_trial_is_not_overwritten`.
//!
//! # Glossary
//!
//! * **role**: a kind of Aspera host; **need**: a port it uses; **requirement**: a need with the answers filled in.
//! * **plan**: all requirements; **change**: the same in the language of this host, as steps with their undo.
//! * **trial 1** adds accepts and a second sshd (the **door**); **trial 2** shuts TCP/22 by a kernel timer.
//! * **rehearsal**: the change on a sealed copy, with packets; its **matrix** has a **cell** for each port and sender.
//! * **guard**: the dead-man's switch outside this process; **confirm**: proof by a new login through the new door.

pub mod advice;
pub mod answers;
pub mod backend;
pub mod catalogue;
pub mod change;
pub mod cli;
pub mod document;
pub mod engine;
pub mod facts;
pub mod harmless;
pub mod lab;
pub mod matrix;
pub mod notice;
pub mod plan;
pub mod port;
pub mod product;
pub mod rehearse;
pub mod sealed;
pub mod sshd;
pub mod step;
pub mod system;
pub mod transaction;
pub mod tui;
