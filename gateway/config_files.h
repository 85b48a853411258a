/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/config_files.h - the files that a configuration names are looked at:
 * are they there, readable, and what they should be?
 */
#ifndef CAIRN_GATEWAY_CONFIG_FILES_H
#define CAIRN_GATEWAY_CONFIG_FILES_H

#include "gateway/config.h"

#define CONFIG_FILES_PEM_MAX ((size_t)1 << 20)

/*
 * Certificate and key of `listen`, where it is set; the gateway key where the
 * configuration names one that is there (else the start makes it). path: of the
 * configuration, for the error: "cairnd.yaml:3: listen_cert: FILE: no
 * certificate in PEM form". ERR_ARGUMENT, ERR_NOMEM.
 */
enum err_code config_files_check(const struct config *c, const char *path,
                                 struct err *err);

#endif
