/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_token.h - tokens. */
#ifndef CAIRN_CLI_CLI_TOKEN_H
#define CAIRN_CLI_CLI_TOKEN_H

#include "cli/cli_run.h"

int cli_token_add(struct cli_run *run);
int cli_token_list(struct cli_run *run);
int cli_token_revoke(struct cli_run *run);

#endif
