/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_vm.h - VMs of the pools. */
#ifndef CAIRN_CLI_CLI_VM_H
#define CAIRN_CLI_CLI_VM_H

#include "cli/cli_run.h"

int cli_vm_list(struct cli_run *run);
int cli_vm_show(struct cli_run *run);
int cli_vm_move(struct cli_run *run);

#endif
