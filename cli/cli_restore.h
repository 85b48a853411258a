/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_restore.h - `cairn restore`. */
#ifndef CAIRN_CLI_CLI_RESTORE_H
#define CAIRN_CLI_CLI_RESTORE_H

#include "cli/cli_run.h"

int cli_restore(struct cli_run *run);

#endif
