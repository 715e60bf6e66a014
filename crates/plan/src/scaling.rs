//! Kubernetes objects: an autoscaler at 70 % of the processors for each service that may grow, and
//! for those that must have grown before the sale the jobs that raise its floor in time and lower
//! it again afterwards. An autoscaler alone sees the flood when it is there; that is too late by
//! the lead time.
//!
//! Formats: autoscaling/v2, batch/v1 and rbac.authorization.k8s.io/v1 of the Kubernetes API.

use crate::text::{calendar, instant, quoted};
use std::fmt::Write;

/// Percent of the processors that were asked for, at which instances are added.
pub const CPU_PERCENT: u32 = 70;
/// The image of the jobs; it only has to have `kubectl`.
const IMAGE: &str = "bitnami/kubectl:1.33";

#[derive(Clone, Debug, PartialEq)]
pub struct ScalingOut {
    pub service: String,
    pub kind: String,
    pub namespace: String,
    pub workload: String,
    pub now: u64,
    /// At the peak; as `now` where nothing is to be done.
    pub planned: u64,
    pub max: u64,
    /// Minutes since 1970: when to begin, and when it is over.
    pub begin_minute: i64,
    pub end_minute: i64,
}

/// The objects of one service.
#[must_use]
pub fn scaling_yaml(one: &ScalingOut) -> String {
    let (name, namespace) = (quoted(&one.workload), quoted(&one.namespace));
    let max = one.max.max(one.planned);
    let mut out = format!(
        "# {}: written by `seawall plan make`.\n\
         apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         scaleTargetRef: {{apiVersion: apps/v1, kind: {}, name: {name}}}\n  \
         minReplicas: {}\n  maxReplicas: {max}\n  metrics:\n    - type: Resource\n      \
         resource:\n        name: cpu\n        target: {{type: Utilization, \
         averageUtilization: {CPU_PERCENT}}}\n  behavior:\n    \
         # Down slowly: a sale comes in waves.\n    \
         scaleDown: {{stabilizationWindowSeconds: 900}}\n",
        one.service.replace(['\n', '\r'], " "),
        quoted(&one.kind),
        one.now
    );
    if one.planned <= one.now {
        return out;
    }
    let account = quoted(&format!("{}-prescale", one.workload));
    _ = write!(
        out,
        "---\napiVersion: v1\nkind: ServiceAccount\n\
         metadata: {{name: {account}, namespace: {namespace}}}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n\
         metadata: {{name: {account}, namespace: {namespace}}}\nrules:\n  \
         - apiGroups: [autoscaling]\n    resources: [horizontalpodautoscalers]\n    \
         resourceNames: [{name}]\n    verbs: [get, patch]\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
         metadata: {{name: {account}, namespace: {namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {account}}}\n\
         subjects:\n  - {{kind: ServiceAccount, name: {account}, namespace: {namespace}}}\n"
    );
    push_job(&mut out, one, "up", one.begin_minute, one.planned);
    push_job(&mut out, one, "down", one.end_minute, one.now);
    out
}

/// A schedule has no year: the job is to be removed with the campaign, and says so.
fn push_job(out: &mut String, one: &ScalingOut, way: &str, minute: i64, floor: u64) {
    let (_, month, day, hour, min) = calendar(minute);
    let account = quoted(&format!("{}-prescale", one.workload));
    let patch = format!("{{\"spec\":{{\"minReplicas\":{floor}}}}}");
    // Writing to a string cannot fail.
    _ = write!(
        out,
        "---\n# At {}. It comes back each year: delete it with the campaign.\n\
         apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {}, namespace: {}}}\nspec:\n  \
         schedule: \"{min} {hour} {day} {month} *\"\n  timeZone: Etc/UTC\n  \
         concurrencyPolicy: Forbid\n  startingDeadlineSeconds: 600\n  \
         jobTemplate:\n    spec:\n      \
         backoffLimit: 3\n      template:\n        spec:\n          \
         serviceAccountName: {account}\n          restartPolicy: OnFailure\n          \
         containers:\n            - name: kubectl\n              image: {IMAGE}\n              \
         args: [patch, hpa, {}, --type=merge, --patch, {}]\n",
        instant(minute),
        quoted(&format!("{}-prescale-{way}", one.workload)),
        quoted(&one.namespace),
        quoted(&one.workload),
        quoted(&patch)
    );
}
