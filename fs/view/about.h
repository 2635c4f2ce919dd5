/*
 * What a file, a directory or a change is about.
 */
#pragma once

enum about { ABOUT_SERVICE, ABOUT_VOLUME, ABOUT_HOST };
