/* The kinds of endpoints: ENDPOINT(NAME) for NAME_endpoint in NAME.c. No include guard: a table of
 * it is made by defining ENDPOINT and including this. */
ENDPOINT(file)
ENDPOINT(block)
ENDPOINT(null)
ENDPOINT(nbd)
