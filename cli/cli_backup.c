/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_backup.h"

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"
#include "cli/cli_wait.h"

static const struct cli_column columns[] = {
    {"VM", "vm.name", CLI_FORM_TEXT},
    {"STATE", "state", CLI_FORM_TEXT},
    {"POINT", "point", CLI_FORM_TEXT},
    {"JOB", "id", CLI_FORM_TEXT},
};

int cli_backup(struct cli_run *run)
{
    struct json *answer = NULL, *docs = NULL, *body, *vms;
    struct cli_body b;
    int exit, printed;

    if (run->args->arg_count == 0 && !cli_args_has(run->args, "tenant")) {
        fprintf(stderr, "cairn: what is to be backed up? Name VMs, or give "
                        "--tenant\n");
        return EXIT_USAGE;
    }
    cli_body_begin(&b);
    vms = json_new_array();
    for (size_t i = 0; i < run->args->arg_count; i++)
        if (!json_append(vms, json_new_text(run->args->args[i])))
            b.failed = true;
    cli_body_take(&b, "vms", vms);
    cli_body_option(&b, "tenant", run->args, "tenant");
    cli_body_option(&b, "vault", run->args, "vault");
    body = cli_body_end(&b);
    exit = cli_http_call(run, "POST", "/backups", body, &answer);
    json_free(body);
    if (exit != EXIT_OK)
        return exit;
    exit = cli_wait_answer(run, answer, &docs);
    json_free(answer);
    if (docs && exit != EXIT_INTERRUPTED) {
        printed = cli_out_list(run, docs, columns, BYTES_COUNT(columns));
        exit = exit == EXIT_OK ? printed : exit;
    }
    json_free(docs);
    return exit;
}
