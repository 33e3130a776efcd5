/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_text.h - names of any bytes, in JSON
 */
#ifndef FUSE_JSON_TEXT_H
#define FUSE_JSON_TEXT_H

#include <jansson.h>

/* A string; where it is not UTF-8, what is no ASCII becomes \xNN. */
json_t *json_text(const char *s);

#endif
