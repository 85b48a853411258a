/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_tenant.h - tenants, tokens and rules. */
#ifndef CAIRN_CLI_CLI_TENANT_H
#define CAIRN_CLI_CLI_TENANT_H

#include "cli/cli_run.h"

int cli_tenant_add(struct cli_run *run);
int cli_tenant_list(struct cli_run *run);
int cli_tenant_show(struct cli_run *run);
int cli_tenant_set(struct cli_run *run);
int cli_tenant_suspend(struct cli_run *run);
int cli_tenant_resume(struct cli_run *run);
int cli_tenant_leave(struct cli_run *run);
int cli_tenant_erase(struct cli_run *run);

#endif
