/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_key.h - keys of a vault. */
#ifndef CAIRN_CLI_CLI_KEY_H
#define CAIRN_CLI_CLI_KEY_H

#include "cli/cli_run.h"

int cli_key_list(struct cli_run *run);
int cli_key_test(struct cli_run *run);
int cli_key_grant(struct cli_run *run);
int cli_key_export(struct cli_run *run);

#endif
