/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_rule.h - rules: which VMs are whose. */
#ifndef CAIRN_CLI_CLI_RULE_H
#define CAIRN_CLI_CLI_RULE_H

#include "cli/cli_run.h"

int cli_rule_add(struct cli_run *run);
int cli_rule_list(struct cli_run *run);
int cli_rule_remove(struct cli_run *run);

#endif
