//! Which form is meant where another one is said: any name that is none of ours is free, and nobody
//! judges what has it.

use crate::form::Form;

impl Form {
    /// The form that this one is taken for, by a name that is nearly its own or by the path where it
    /// lies in every run, and in what way.
    pub fn mistaken(name: &str, path: &str) -> Option<(Self, String)> {
        let known = Self::named(name);
        let nearly = Self::ALL.iter().copied().find(|form| is_nearly(name, form.name()));
        if let (None, Some(meant)) = (known, nearly) {
            return Some((meant, format!("there is no form `{name}`, and it is nearly `{meant}`")));
        }
        let meant = of_place(path).filter(|form| known != Some(*form))?;
        Some((meant, format!("this path is the place of `{meant}`, and the form here is `{name}`")))
    }
}

/// The form that lies at this path in every run.
fn of_place(path: &str) -> Option<Form> {
    let in_run = |path: &str| {
        let mut parts = path.split('/');
        parts.find(|part| *part == "{platform_run_id}" || part.starts_with("platform_"))?;
        Some(parts.collect::<Vec<_>>().join("/"))
    };
    let place = in_run(path)?;
    let lies = |form: &&Form| form.path().and_then(in_run).is_some_and(|usual| usual == place);
    Form::ALL.iter().find(lies).copied()
}

/// Whether a name is another one but for one letter added, left out, changed or exchanged with its
/// neighbour, without regard to case and to what separates its parts.
fn is_nearly(name: &str, other: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        name.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (one, other) = (letters(name), letters(other));
    let same = one.iter().zip(&other).take_while(|(left, right)| left == right).count();
    let (one, other) = (one.get(same..).unwrap_or(&[]), other.get(same..).unwrap_or(&[]));
    let ends = one.iter().rev().zip(other.iter().rev());
    let same = ends.take_while(|(left, right)| left == right).count();
    let left = (one.split_at(one.len() - same).0, other.split_at(other.len() - same).0);
    match left {
        ([] | [_], [] | [_]) => true,
        ([first, second], [third, fourth]) => first == fourth && second == third,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_the_place_of_another_form_are_told() {
        let place = "runs/{platform_run_id}/x.json";
        let slips = ["run_reprot", "run_report_", "Run-Report", "runReports", "rn_report"];
        for name in slips {
            let (form, what) = Form::mistaken(name, place).unwrap();
            assert_eq!(form, Form::RunReport);
            assert!(what.contains("nearly `run_report`"), "{what}");
        }
        let report = "evidence/runs/{platform_run_id}/obs/run_report.json";
        let of_another = "runs/platform_20260214T000000Z/obs/run_report.json";
        for (name, path) in [("report", report), ("reconciliation", report), ("x", of_another)] {
            let (form, what) = Form::mistaken(name, path).unwrap();
            assert_eq!(form, Form::RunReport);
            assert!(what.contains("the place of `run_report`"), "{what}");
        }
    }

    /// A form that is none of ours is judged by gates; its name is free.
    #[test]
    fn other_forms_have_any_name_at_any_other_place() {
        let place = "runs/{platform_run_id}/x.json";
        for name in ["cost_summary", "run_plan", "report", "apply", "image_provenance", ""] {
            assert_eq!(Form::mistaken(name, place), None, "{name}");
        }
        for form in Form::ALL {
            assert_eq!(Form::mistaken(form.name(), form.path().unwrap_or(place)), None);
            assert_eq!(Form::mistaken(form.name(), place), None);
        }
        assert_eq!(Form::mistaken("x", "runs/{platform_run_id}/old/obs/run_report.json"), None);
        assert_eq!(Form::mistaken("x", "obs/run_report.json"), None);
    }
}
