/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_vault.h - vaults. */
#ifndef CAIRN_CLI_CLI_VAULT_H
#define CAIRN_CLI_CLI_VAULT_H

#include "base/buf.h"
#include "cli/cli_run.h"

int cli_vault_add(struct cli_run *run);
int cli_vault_list(struct cli_run *run);
int cli_vault_show(struct cli_run *run);
int cli_vault_test(struct cli_run *run);
int cli_vault_remove(struct cli_run *run);

/* "/vaults/NAME<behind>?tenant=T", with --tenant. */
const char *cli_vault_path(const struct cli_run *run, struct buf *path,
                           const char *name, const char *behind);

#endif
