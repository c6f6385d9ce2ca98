//! The attacks on output entropy of the Bad Teacher line of work: fitted on retained against test samples, they tell how many
//! forgotten samples still look like training data. The direction is the opposite of SalUn's.

use crate::eval::attacks::logistic;
use crate::eval::attacks::rbf_svm::Machine;

/// What separates members from non-members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// Logistic regression with balanced classes: SSD's and SUPREME's.
    Logistic,
    /// An RBF machine on unbalanced classes: Bad Teacher's.
    Machine,
}

/// The share of `targets` called *members*, after fitting on the entropies of members and non-members. NaN, infinity or an
/// empty set gives NaN.
pub fn attack(members: &[f64], nonmembers: &[f64], targets: &[f64], separator: Separator) -> f64 {
    let mut all = members.iter().chain(nonmembers).chain(targets);
    if members.is_empty() || nonmembers.is_empty() || targets.is_empty() || all.any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    match separator {
        Separator::Machine => Machine::fit(members, nonmembers).share(targets),
        Separator::Logistic => {
            let mut samples: Vec<(f64, bool)> = members.iter().map(|x| (*x, true)).collect();
            samples.extend(nonmembers.iter().map(|x| (*x, false)));
            let model = logistic::fit_balanced(&samples);
            logistic::accuracy(targets.iter().map(|x| (true, model.probability(*x))))
        }
    }
}

/// What scripts see of the entropy attacks.
#[rhai::export_module]
pub mod script {
    use super::Separator;
    use crate::eval::scores::to_host;
    use crate::runtime::Script;
    use crate::tensor::Tensor;

    fn attack(name: &str, sets: [Tensor; 3], separator: Separator) -> Script<f64> {
        let [members, nonmembers, targets] = sets.map(|tensor| to_host(name, &tensor));
        Ok(super::attack(&members?, &nonmembers?, &targets?, separator))
    }

    /// The entropy attack of SSD and SUPREME: a logistic regression with balanced classes is fitted on the `entropy` of the
    /// outputs of members (retained samples) against non-members (test samples); the result is the share of `targets`
    /// (forgotten samples) that it calls *members*. Lower is better forgetting, the opposite direction of `mia_salun`; the
    /// ideal is the retrained network's value (Foster et al., AAAI 2024). NaN where a set is empty.
    ///
    /// # Example
    /// ```rhai
    /// assert(mia_entropy(tensor([0.1, 0.0, 0.2]), tensor([1.2, 2.0, 1.5]), tensor([1.4, 0.1, 1.7, 2.2])) == 0.25);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mia_entropy(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        attack("mia_entropy", [members, nonmembers, targets], Separator::Logistic)
    }

    /// The entropy attack as Bad Teacher's code has it: `mia_entropy` with a support vector machine (RBF kernel, C = 3,
    /// gamma = 1) on classes of unequal size. Only for comparison with figures of Chundawat et al. (AAAI 2023): with many more
    /// members than non-members the machine calls nearly everything a member, whatever was forgotten.
    ///
    /// # Example
    /// ```rhai
    /// assert(mia_entropy_svc(tensor([0.1, 0.0, 0.2]), tensor([1.2, 2.0, 1.5]), tensor([1.4, 0.1, 1.7, 2.2])) == 0.25);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn mia_entropy_svc(members: Tensor, nonmembers: Tensor, targets: Tensor) -> Script<f64> {
        attack("mia_entropy_svc", [members, nonmembers, targets], Separator::Machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entropies between 0 and ln 10, by a golden-ratio sequence.
    fn series(n: usize, mean: f64, spread: f64, start: f64) -> Vec<f64> {
        let quantile = |i: usize| ((i as f64 * 0.618_033_988_749_894_9 + start * 0.37) % 1.0) * 0.998 + 0.001;
        let logit = |i: usize| mean + spread * (quantile(i) / (1.0 - quantile(i))).ln();
        (0..n).map(|i| 10_f64.ln() / (1.0 + (-logit(i)).exp())).collect()
    }

    #[test]
    fn both_are_scikit_learns() {
        // LogisticRegression(class_weight="balanced") and SVC(C=3, gamma="auto") of scikit-learn 1.9: targets called members.
        for (members, nonmembers, z, logistic, machine) in [
            (900, 300, [-3.0, 1.5, -1.0, 1.5, -1.5, 1.5], 171.0, 268.0),
            (600, 600, [-5.0, 1.2, -4.0, 1.5, -4.5, 1.4], 235.0, 235.0),
        ] {
            let (members, nonmembers) = (series(members, z[0], z[1], 1.0), series(nonmembers, z[2], z[3], 2.0));
            let targets = series(300, z[4], z[5], 3.0);
            for (separator, wanted) in [(Separator::Logistic, logistic), (Separator::Machine, machine)] {
                let got = 300.0 * attack(&members, &nonmembers, &targets, separator);
                assert!((got - wanted).abs() < 1.5, "{separator:?}: {got} instead of {wanted}");
            }
        }
    }

    #[test]
    fn the_balanced_attack_does_not_depend_on_how_many_members_there_are_and_the_old_one_does() {
        let (few, many, nonmembers) =
            (series(300, -3.0, 1.5, 1.0), series(3000, -3.0, 1.5, 1.0), series(300, -1.0, 1.5, 2.0));
        let targets = series(300, -1.5, 1.5, 3.0);
        let share = |members: &[f64], separator| attack(members, &nonmembers, &targets, separator);
        assert!((share(&few, Separator::Logistic) - share(&many, Separator::Logistic)).abs() < 0.02);
        assert!(share(&many, Separator::Machine) > share(&few, Separator::Machine) + 0.3);
    }

    #[test]
    fn constant_single_and_tied_entropies_are_scikit_learns() {
        // Share called members: LogisticRegression(class_weight="balanced") and SVC(C=3, gamma="auto") of scikit-learn 1.9.
        for (members, nonmembers, targets, logistic, machine) in [
            (&[0.1; 30][..], &[0.1; 30][..], &[0.1, 0.1, 0.1][..], 0.0, 1.0),
            (&[0.3; 10], &[0.3; 30], &[0.3, 0.3], 0.0, 0.0),
            (&[0.3; 30], &[0.3; 10], &[0.3, 0.3], 0.0, 1.0),
            (&[0.9], &[0.2], &[0.1, 0.5, 0.6, 0.95], 0.5, 0.5),
            (&[0.9], &[0.9], &[0.1, 0.5, 0.9], 0.0, 1.0),
            (&[0.9, 0.8, 0.95], &[0.2], &[0.1, 0.5, 0.95], 1.0 / 3.0, 1.0 / 3.0),
            (&[1.0; 6], &[0.0; 6], &[0.0, 1.0], 0.5, 0.5),
            (&[0.0; 6], &[1.0; 6], &[0.0, 1.0], 0.5, 0.5),
        ] {
            assert_eq!(
                attack(members, nonmembers, targets, Separator::Logistic),
                logistic,
                "{members:?} {nonmembers:?}"
            );
            assert_eq!(attack(members, nonmembers, targets, Separator::Machine), machine, "{members:?} {nonmembers:?}");
        }
    }

    #[test]
    fn empty_sets_and_nan_give_nan() {
        for separator in [Separator::Logistic, Separator::Machine] {
            assert!(attack(&[], &[1.0], &[1.0], separator).is_nan());
            assert!(attack(&[1.0], &[], &[1.0], separator).is_nan());
            assert!(attack(&[1.0], &[1.0], &[], separator).is_nan());
            assert!(attack(&[1.0], &[f64::NAN], &[1.0], separator).is_nan());
        }
    }
}
