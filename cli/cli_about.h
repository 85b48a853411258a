/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_about.h - status, version, audit lines, completion. */
#ifndef CAIRN_CLI_CLI_ABOUT_H
#define CAIRN_CLI_CLI_ABOUT_H

#include "cli/cli_run.h"

int cli_about_status(struct cli_run *run);
int cli_about_version(struct cli_run *run);
int cli_about_audit(struct cli_run *run);
int cli_about_completion(struct cli_run *run);

#endif
