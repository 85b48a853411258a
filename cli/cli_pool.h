/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_pool.h - pools: reach, trust, pause. */
#ifndef CAIRN_CLI_CLI_POOL_H
#define CAIRN_CLI_CLI_POOL_H

#include "cli/cli_run.h"

int cli_pool_add(struct cli_run *run);
int cli_pool_list(struct cli_run *run);
int cli_pool_show(struct cli_run *run);
int cli_pool_test(struct cli_run *run);
int cli_pool_accept(struct cli_run *run);
int cli_pool_pause(struct cli_run *run);
int cli_pool_remove(struct cli_run *run);

#endif
