/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_job.h - jobs. */
#ifndef CAIRN_CLI_CLI_JOB_H
#define CAIRN_CLI_CLI_JOB_H

#include "cli/cli_run.h"

int cli_job_list(struct cli_run *run);
int cli_job_show(struct cli_run *run);
int cli_job_log(struct cli_run *run);
int cli_job_cancel(struct cli_run *run);
int cli_job_retry(struct cli_run *run);

#endif
