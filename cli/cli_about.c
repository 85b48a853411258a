/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_about.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"

int cli_about_status(struct cli_run *run)
{
    static const struct cli_column rows[] = {
        {"gateway", "gateway", CLI_FORM_TEXT},
        {"up, seconds", "uptime_s", CLI_FORM_TEXT},
        {"jobs running", "jobs_running", CLI_FORM_TEXT},
        {"jobs waiting", "jobs_queued", CLI_FORM_TEXT},
        {"memory for data", "memory_bytes", CLI_FORM_BYTES},
        {"of it in use", "memory_used", CLI_FORM_BYTES},
        {"at most so far", "memory_peak", CLI_FORM_BYTES},
        {"spill room", "spill_bytes", CLI_FORM_BYTES},
        {"of it in use", "spill_used", CLI_FORM_BYTES},
        {"places to tidy", "places_to_tidy", CLI_FORM_TEXT},
        {"loop delay p99, ms", "loop_delay_p99_ms", CLI_FORM_TEXT},
    };
    struct json *doc = NULL;
    int exit = cli_http_call(run, "GET", "/status", NULL, &doc);

    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    json_free(doc);
    return exit;
}

/* Our own version is known in any case; the server's when there is one. */
int cli_about_version(struct cli_run *run)
{
    static const struct cli_column rows[] = {
        {"cairn", "client", CLI_FORM_TEXT},
        {"cairnd", "server.version", CLI_FORM_TEXT},
        {"gateway", "server.gateway", CLI_FORM_TEXT},
        {"you are", "server.principal", CLI_FORM_TEXT},
        {"tenant", "server.tenant", CLI_FORM_TEXT},
    };
    struct json *all = json_new_object();
    struct cli_answer a;
    int exit;

    cli_http_ask(run->http, "GET", "/version", NULL, &a);
    json_set_text(all, "client", CAIRN_VERSION);
    json_set(all, "server", a.doc && a.exit == EXIT_OK ? json_clone(a.doc)
                                                       : json_new_null());
    exit = cli_out_thing(run, all, rows, BYTES_COUNT(rows));
    if (a.exit != EXIT_OK) {
        cli_out_problem(run, &a);
        exit = a.exit;
    }
    cli_answer_fini(&a);
    json_free(all);
    return exit;
}

int cli_about_audit(struct cli_run *run)
{
    static const struct cli_column columns[] = {
        {"AT", "at", CLI_FORM_TEXT},
        {"ACTOR", "actor", CLI_FORM_TEXT},
        {"TENANT", "tenant", CLI_FORM_TEXT},
        {"ACTION", "action", CLI_FORM_TEXT},
        {"OBJECT", "object", CLI_FORM_TEXT},
        {"OUTCOME", "outcome", CLI_FORM_TEXT},
        {"", "detail", CLI_FORM_TEXT},
    };
    struct json *items = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/audit");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    cli_http_query(&path, "since", cli_args_get(run->args, "since"));
    exit = cli_http_list(run, buf_text(&path), &items);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

/* A noun that comes for the first time. */
static bool is_first(const struct cli_command *c)
{
    for (const struct cli_command *p = cli_commands; p != c; p++)
        if (strcmp(p->noun, c->noun) == 0)
            return false;
    return true;
}

static void print_options(const struct cli_option *o)
{
    for (; o && o->name; o++)
        printf(" --%s", o->name);
}

/* Written from the table of commands, so that it knows what the program
 * knows. */
int cli_about_completion(struct cli_run *run)
{
    if (strcmp(run->args->args[0], "bash") != 0) {
        fprintf(stderr, "cairn: completion is there for bash only\n");
        return EXIT_USAGE;
    }
    printf("# bash completion of cairn\n"
           "_cairn()\n{\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} list=\n"
           "    case \"$COMP_CWORD:${COMP_WORDS[1]}:${COMP_WORDS[2]}\" in\n"
           "    1:*) list='");
    for (const struct cli_command *c = cli_commands; c->noun; c++)
        if (is_first(c))
            printf("%s ", c->noun);
    printf("' ;;\n");
    for (const struct cli_command *c = cli_commands; c->noun; c++) {
        if (!c->verb || !is_first(c))
            continue;
        printf("    2:%s:*) list='", c->noun);
        for (const struct cli_command *v = c; v->noun; v++)
            if (strcmp(v->noun, c->noun) == 0)
                printf("%s ", v->verb);
        printf("' ;;\n");
    }
    for (const struct cli_command *c = cli_commands; c->noun; c++) {
        printf("    *:%s:%s) list='", c->noun, c->verb ? c->verb : "*");
        print_options(c->options);
        print_options(cli_args_common);
        printf("' ;;\n");
    }
    printf("    esac\n"
           "    COMPREPLY=($(compgen -W \"$list\" -- \"$word\"))\n"
           "}\n"
           "complete -o default -F _cairn cairn\n");
    return cli_out_flush();
}
