/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairnd [--config F] [--check]
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/exit.h"
#include "base/failpoint.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/xml.h"
#include "gateway/config.h"
#include "gateway/config_files.h"
#include "gateway/engine.h"

#define CONFIG_FILE "/etc/cairn/cairnd.yaml"

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, 'k'},
    {"example", no_argument, NULL, 'e'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
    fputs("usage: cairnd [--config FILE] [--check]\n"
          "  --config FILE  configuration (default " CONFIG_FILE ")\n"
          "  --check        read the configuration and the files it names,\n"
          "                 say what is wrong, end\n"
          "  --example      print a configuration with every key and default\n"
          "  --version, --help\n",
          out);
}

static void setup_log(const struct config *c)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const char *const forms[] = {"plain", "json", "systemd"};
    unsigned level = LOG_INFO, form = LOG_PLAIN;

    for (unsigned i = 0; i < BYTES_COUNT(levels); i++)
        if (strcmp(c->log_level, levels[i]) == 0)
            level = i;
    for (unsigned i = 0; i < BYTES_COUNT(forms); i++)
        if (strcmp(c->log_form, forms[i]) == 0)
            form = i;
    log_setup((enum log_level)level, (enum log_form)form);
}

/* What the file alone cannot say: whether there is such a folder, and room. */
static int say_checked(const struct config *config, const char *path)
{
    struct err err = {0};
    uint64_t room = 0;

    if (config->spill[0] && spill_look(config->spill, &room, &err) != ERR_OK) {
        fprintf(stderr, "cairnd: %s: %s\n", path, err.text);
        return EXIT_USAGE;
    }
    printf("%s: ok\n", path);
    if (config->spill[0])
        printf("spill: up to %ju MiB in %s, where %ju MiB are free%s\n",
               (uintmax_t)(config->spill_bytes / MIB), config->spill,
               (uintmax_t)(room / MIB),
               room < config->spill_bytes ? ": less than that" : "");
    return EXIT_OK;
}

static int serve(const struct config *config)
{
    struct engine *engine = NULL;
    struct err err = {0};

    setup_log(config);
    signal(SIGPIPE, SIG_IGN); /* an error of one connection */
    failpoint_setup();
    xml_setup();
    if (http_client_setup(&err) != ERR_OK ||
        engine_start(config, &engine, &err) != ERR_OK) {
        fprintf(stderr, "cairnd: %s\n", err.text);
        return (int)exit_of(err.code, EXIT_PEER_NONE);
    }
    engine_run(engine);
    engine_free(engine);
    log_event(LOG_INFO, "stopped", LOG_END);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    const char *path = CONFIG_FILE;
    struct config *config = NULL;
    struct err err = {0};
    bool check = false;
    int c, rc = EXIT_OK;

    guard_process();
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            check = true;
            break;
        case 'e':
            config_example(stdout);
            return EXIT_OK;
        case 'v':
            puts("cairnd " CAIRN_VERSION);
            return EXIT_OK;
        case 'h':
            usage(stdout);
            return EXIT_OK;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "cairnd: what is '%s'?\n", argv[optind]);
        usage(stderr);
        return EXIT_USAGE;
    }
    if (config_load(path, &config, &err) != ERR_OK ||
        config_files_check(config, path, &err) != ERR_OK) {
        fprintf(stderr, "cairnd: %s\n", err.text);
        config_free(config);
        return EXIT_USAGE;
    }
    if (check)
        rc = say_checked(config, path);
    else
        rc = serve(config);
    config_free(config);
    return rc;
}
