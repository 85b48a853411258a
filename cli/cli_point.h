/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_point.h - restore points. */
#ifndef CAIRN_CLI_CLI_POINT_H
#define CAIRN_CLI_CLI_POINT_H

#include "cli/cli_run.h"

int cli_point_list(struct cli_run *run);
int cli_point_show(struct cli_run *run);
int cli_point_verify(struct cli_run *run);

#endif
