//! aspera.conf as a part of the change, where the answers ask for it.

use super::Wanted;
use crate::answers::{Answers, AsperaConf};
use crate::catalogue::Catalogue;
use crate::plan::Plan;
use crate::product::edit::{Edit, edited};
use crate::product::{differences, restart};
use crate::sshd::change::FileChange;

impl Wanted<'_> {
    pub(super) fn plan_product(&mut self, answers: &Answers, plan: &Plan) {
        let role = Catalogue::builtin().role(&plan.role);
        let (Some(aspera), Some(role)) = (&self.facts.aspera, role) else {
            return;
        };
        let Some(path) = aspera
            .conf
            .as_ref()
            .filter(|_| answers.aspera_conf == AsperaConf::Set)
        else {
            return;
        };
        let found = differences(plan, answers, role, aspera);
        let Some(text) = aspera.conf_text.as_ref().filter(|_| !found.is_empty()) else {
            return;
        };
        let edits: Vec<Edit> = found.iter().map(|difference| difference.edit.clone()).collect();
        match edited(text, &edits) {
            Ok(after) if after == *text => {}
            Ok(after) => {
                self.product_files.push(FileChange {
                    path: path.clone(),
                    before: Some(text.clone()),
                    after: Some(after),
                });
                self.left_to_do.extend(
                    restart(&found, self.facts.os.systemd)
                        .map(|command| format!("let the product read its new ports: {command}")),
                );
            }
            Err(error) => self.obstacles.push(format!(
                "{} cannot be changed: {error}. It is left as it is. Mend it (asuserdata -v checks it), or set conf = \
                 \"leave\" in [aspera]",
                path.display()
            )),
        }
    }
}
