/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_task.h - tasks: made by calls and transfers, ended once.
 */
#ifndef CAIRN_SIM_TASK_H
#define CAIRN_SIM_TASK_H

#include "tests/sim/sim_call.h"

extern const struct sim_method sim_task_methods[];

/* With the lock. */
struct sim_object *sim_task_new(struct sim_pool *pool, const char *label,
                                const char *session, const char *host);
void sim_task_set_progress(struct sim_pool *pool, const char *task,
                           double progress);
bool sim_task_cancelled(struct sim_pool *pool, const char *task);
/* Pending tasks die as in a toolstack restart. */
void sim_task_kill_all(struct sim_pool *pool);
/* No object is being worked on any more, whatever tasks were at it. */
void sim_task_forget_work(struct sim_pool *pool);

/*
 * Without the lock: end a task. Both values are taken; failure NULL: success,
 * result NULL: nothing to tell. `about` is the reference of what the work was
 * done on (or ""): faults look at it. Applies task_stuck, task_delay,
 * task_gone and task_fail; what is not pending any more stays as it is.
 */
void sim_task_end(struct sim_host *host, const char *task, const char *method,
                  const char *about, struct sim_value *result,
                  struct sim_value *failure);

/* The same without faults. */
void sim_task_end_plain(struct sim_pool *pool, const char *task,
                        struct sim_value *result, struct sim_value *failure);

#endif
