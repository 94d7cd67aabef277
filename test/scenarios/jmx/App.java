/** A program that one would like to look into. */
public class App {
    public static void main(String[] arguments) throws Exception {
        System.out.println("up");
        Thread.sleep(Long.MAX_VALUE);
    }
}
