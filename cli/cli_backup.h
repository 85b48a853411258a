/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_backup.h - `cairn backup`. */
#ifndef CAIRN_CLI_CLI_BACKUP_H
#define CAIRN_CLI_CLI_BACKUP_H

#include "cli/cli_run.h"

int cli_backup(struct cli_run *run);

#endif
