/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - the page at /-/ of mounts and workers
 *
 * One document with its own style and script, whose sources are in
 * fuse/page/. It asks for status and history beside itself and for nothing
 * else, and the policy that goes with it lets a browser do nothing else: the
 * style and the script are named by their hashes.
 */
#ifndef FUSE_PAGE_H
#define FUSE_PAGE_H

/*
 * The document on the heap, or NULL: out of memory. *policy: the value of its
 * Content-Security-Policy; it stays.
 */
char *page_document(const char **policy);

#endif
