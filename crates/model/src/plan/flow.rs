//! Which node of a phase waits for which.

use std::collections::{BTreeMap, BTreeSet};

use super::compiled::After;
use super::phases::{WrittenKind, WrittenNode, WrittenPhase};

/// The nodes of a phase with what each waits for, in order.
pub(super) struct Flow<'p> {
    pub(super) nodes: Vec<FlowNode<'p>>,
}

/// A node with what it waits for.
pub(super) struct FlowNode<'p> {
    pub(super) section: &'static str,
    pub(super) place: usize,
    pub(super) node: &'p WrittenNode,
    /// What it waits for, as far as that could be found.
    pub(super) after: Vec<After>,
    /// What could not, by its place in the list, and why.
    pub(super) astray: Vec<(usize, Astray)>,
}

/// Why a name under `after` leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Astray {
    /// No node of the phase has it.
    Unknown,
    /// The node comes later, or is the very same.
    Later,
    /// The node is no choice, so that it has no branches.
    NoChoice,
    /// The choice has no such branch.
    NoBranch,
    /// It stands twice.
    Twice,
}

/// Finds out what each node waits for. Without a word that is the node before it; the first one of
/// a section waits for all before it that nothing waits for yet.
pub(super) fn flow(phase: &WrittenPhase) -> Flow<'_> {
    let nodes: Vec<_> = phase.nodes().collect();
    let mut names = BTreeMap::new();
    for (index, (_, _, node)) in nodes.iter().enumerate() {
        names.entry(node.name.as_str()).or_insert((index, *node));
    }
    let mut followed = vec![false; nodes.len()];
    // All before this are followed by something: nobody looks at them again.
    let mut open_from = 0;
    let mut flow = Flow { nodes: Vec::with_capacity(nodes.len()) };
    for (index, (section, place, node)) in nodes.into_iter().enumerate() {
        let mut found = FlowNode { section, place, node, after: Vec::new(), astray: Vec::new() };
        match &node.after {
            Some(written) => {
                let mut seen = BTreeSet::new();
                for (item, name) in written.iter().enumerate() {
                    match resolve(name, index, &names) {
                        Ok(after) if !seen.insert(after.clone()) => {
                            found.astray.push((item, Astray::Twice));
                        }
                        Ok(after) => found.after.push(after),
                        Err(why) => found.astray.push((item, why)),
                    }
                }
            }
            None if place == 0 => {
                let open =
                    (open_from..index).filter(|at| !followed.get(*at).copied().unwrap_or(true));
                found.after.extend(open.map(|node| After { node, branch: None }));
                open_from = index;
            }
            None => {
                found.after.extend(index.checked_sub(1).map(|node| After { node, branch: None }));
            }
        }
        for after in &found.after {
            if let Some(followed) = followed.get_mut(after.node) {
                *followed = true;
            }
        }
        flow.nodes.push(found);
    }
    flow
}

fn resolve(
    name: &str,
    from: usize,
    names: &BTreeMap<&str, (usize, &WrittenNode)>,
) -> Result<After, Astray> {
    let (node, branch) = match name.split_once(':') {
        Some((node, branch)) => (node, Some(branch)),
        None => (name, None),
    };
    let (index, found) = names.get(node).copied().ok_or(Astray::Unknown)?;
    if index >= from {
        return Err(Astray::Later);
    }
    if let Some(branch) = branch {
        let WrittenKind::Choice { branches, otherwise } = &found.kind else {
            return Err(Astray::NoChoice);
        };
        let known = branches.iter().any(|it| it.name.as_str() == branch);
        if !known && otherwise.as_str() != branch {
            return Err(Astray::NoBranch);
        }
    }
    Ok(After { node: index, branch: branch.map(ToOwned::to_owned) })
}
